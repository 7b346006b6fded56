"""What `auto init` writes: files to copy and change."""
