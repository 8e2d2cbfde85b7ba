"""Problems with verifiable answers, and how an answer is graded."""
