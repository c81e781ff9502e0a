"""Heart rate frame by frame, from a camera or from a file that plays as one.

source   frames with their times, in a thread; what is too late is dropped, and counted
tracker  where the face is, looked for now and then beside the work
clock    irregular times to a constant rate
readers  crops to a waveform, each method in its cheapest way
session  all of that as one state machine: a frame in, now and then an update out
record   every update to a CSV file
view     lines, a terminal page or a window
run      the loop around it
"""
