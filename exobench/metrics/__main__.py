"""``python -m exobench.metrics DRAWS_FILE ...``: the scores of anyone's draws; see `exobench.score_files`."""

from exobench.score_files import main

if __name__ == "__main__":
    main()
