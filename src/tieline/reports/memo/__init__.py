"""The memo of a plan: what to buy, when, where, or not at all, for who has to decide.

numbers          as people read them: three digits, `1.2bn USD`
words            verdicts and answers as sentences; no pictures, so that the terminal is quick
tables           tables of text
replay_prices    prices that a replay wrote, in the plan's money
recorded         words, table and document of what is taken from recorded jobs
document         one JSON document: every figure in full
pictures         which figures a memo has, and their words
pictures_*       how each of them is drawn
contents         what stands where, for both pages alike
memo             Markdown, one self-contained HTML page, and the document, in one directory
"""
