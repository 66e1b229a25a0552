"""Writes tests/unit/event_record.inc: one scalar event as TensorBoard's own writer frames it.

Run with tensorboard installed:  python make_event_record.py > ../unit/event_record.inc
"""

import io

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

out = io.BytesIO()
value = Summary.Value(tag="train/loss", simple_value=0.25)
event = Event(wall_time=1.5, step=300, summary=Summary(value=[value]))
RecordWriter(out).write(event.SerializeToString())
print("/* Made by tests/oracle/make_event_record.py. */")
data = out.getvalue()
for i in range(0, len(data), 12):
    print(" ".join(f"0x{b:02x}," for b in data[i : i + 12]))
