"""What shadows have shown: collected, judged and told."""
