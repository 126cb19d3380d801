"""SMPLify and SMPLify-X: keypoints of one person → body, hands and face, in every picture of a batch or video.

`recipe.fit(views, body, options, progress)` → `Fitted` is what to call; `schedule` holds the weights, `problem` what is
given, `result` what comes out.
"""
