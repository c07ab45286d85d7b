{#- Shares are summed as decimals, so that no order of rows matters. -#}

with scores as (
    select * from {{ ref('score_history') }}
    where outcome is not null
),

ranked as (
    select
        *,
        rank() over (partition by model, as_of, model_version order by probability)
        + (count(*) over (partition by model, as_of, model_version, probability) - 1) / cast(2 as double) as middle_rank
    from scores
),

measured as (
    select
        model,
        as_of,
        model_version,
        count(*) as users,
        count(*) filter (where outcome) as positives,
        cast(sum(cast(probability as decimal(18, 15))) as double) / count(*) as mean_probability,
        avg(case when outcome then cast(1 as double) else 0 end) as observed_rate,
        cast(
            sum(cast(power(probability - case when outcome then 1 else 0 end, 2) as decimal(18, 15))) as double
        ) / count(*) as brier,
        avg(case when decile = 10 then case when outcome then cast(1 as double) else 0 end end) as top_decile_rate,
        sum(middle_rank) filter (where outcome) as positive_ranks
    from ranked
    group by model, as_of, model_version
),

score_performance as (
    select
        model,
        as_of,
        model_version,
        users,
        positives,
        mean_probability,
        observed_rate,
        brier,
        case
            when positives between 1 and users - 1
                then
                    (positive_ranks - positives * (positives + 1) / cast(2 as double))
                    / (positives * cast(users - positives as double))
        end as roc_auc,
        case when observed_rate > 0 then top_decile_rate / observed_rate end as top_decile_lift
    from measured
)

select * from score_performance
