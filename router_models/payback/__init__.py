"""Whether a fine-tuned model pays back: from which volume on, against what, and when never."""
