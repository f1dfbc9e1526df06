"""Pictures drawn with matplotlib: each function takes numbers and a width; monitors, reports and studies share them."""
