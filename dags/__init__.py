"""The flywheel's DAGs for Airflow 3.3: thin callers of the command line, in which no step of the loop is written again.

They run in Airflow's own environment, so they import Airflow and the standard library alone.
"""
