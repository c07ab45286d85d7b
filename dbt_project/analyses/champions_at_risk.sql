-- Which of the best customers are about to leave, and how much is at stake?
select
    user_key,
    users.rfm_segment,
    users.revenue,
    round(churn_scores.probability, 2) as churn_probability,
    round(users.revenue * churn_scores.probability, 2) as at_stake,
    churn_scores.top_reasons
from users
inner join churn_scores using (user_key)
where users.rfm_segment in ('champions', 'loyal', 'cant_lose') and churn_scores.probability > 0.5
order by at_stake desc
