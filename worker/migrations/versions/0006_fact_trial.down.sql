DROP TABLE fact_trial;
