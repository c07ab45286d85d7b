{{ config(materialized='incremental', unique_key=['key_event', 'path']) }}

{{ ranked_paths('path_to', 'paths_to_key_event') }}
