"""What a project goes through when it runs unattended: kills, flips and damage."""
