"""What ``bench.chat`` is made of: pairs that people judged, trainers beside each other, talk."""
