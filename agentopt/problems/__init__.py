"""Problems with several objectives: published test functions and designs, and what is known of their fronts."""
