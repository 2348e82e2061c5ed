"""What a comparison of replays looks like on paper: JSON, Parquet, a page with pictures.

words       headline, assumptions and notes as sentences
document    one JSON document
tables      Parquet: every job, prices by the hour
pictures    figures as SVG
page        one self-contained HTML file
folder      a directory that is there whole or not at all
report      all of these in one directory
"""
