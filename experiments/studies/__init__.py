"""What every study needs: resumable jobs, intervals over seeds, speed."""
