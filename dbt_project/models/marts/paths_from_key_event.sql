{{ config(materialized='incremental', unique_key=['key_event', 'path']) }}

{{ ranked_paths('path_from', 'paths_from_key_event') }}
