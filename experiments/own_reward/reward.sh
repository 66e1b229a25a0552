#!/bin/sh
# A reward of your own. For each response a line of JSON comes in,
#   {"prompt": "...", "response": "...", "row": {...}}
# and a number on a line of its own goes out, in the same order. Any language will do.
# Wishes here: name a place, end in a full stop, and do not say a word twice in a row.
set -f # words of a response are no file patterns
while IFS= read -r line; do
    response=${line#*\"response\": \"}
    response=${response%%\", \"row\": *}
    score=0 before=
    case $response in *hill* | *lake* | *barn* | *wood*) score=$((score + 1)) ;; esac
    case $response in *.) score=$((score + 1)) ;; esac
    for word in $response; do
        [ "$word" = "$before" ] && score=$((score - 1))
        before=$word
    done
    echo "$score"
done
