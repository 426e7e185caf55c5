"""The main job in one process: a run is sold, trained and checked, and every lie is convicted.

Read in this order: `world` (a market with its people), `lies` (what the dishonest do), `scenarios`
(who plays and how it must end), `report` (what happened, to the operation).
"""
