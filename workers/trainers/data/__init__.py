"""What trainers learn from: comparisons, good and bad answers, texts to imitate; cut to length."""
