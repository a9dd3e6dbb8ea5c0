"""What the DAG files share. The name is long because Airflow puts it on the path beside all that is installed."""
