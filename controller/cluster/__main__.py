"""`python -m controller.cluster CHART`: write the generated files of the chart."""

import sys
from pathlib import Path

from controller.cluster.chart import write

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m controller.cluster CHART, where CHART is the folder of the chart (helm)")
    for path in write(Path(sys.argv[1])):
        print(path)  # noqa: T201 - its output
