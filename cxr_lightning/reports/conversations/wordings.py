"""The ways of asking, short and long, British and American: a model must know a request by what it wants.

`{it}` is the thing asked about with its article ("a pleural effusion"), `{the}` the same as known ("the pleural
effusion"), `{part}` a part of the chest. No wording tells whether its answer is yes.
"""

from __future__ import annotations

DESCRIBE = (
    "Describe this chest X-ray.",
    "Please report this chest radiograph.",
    "Write the report for this image.",
    "What does this chest X-ray show?",
    "Tell me what you see on this radiograph.",
    "Read this chest film for me.",
    "Summarise the radiograph in a few sentences.",
    "Give a full description of this chest radiograph.",
    "How would a radiologist report this image?",
    "Look at this X-ray and describe what is there and what is not.",
    "I need a report of this chest image.",
    "Please interpret the chest X-ray shown here.",
    "Go through this radiograph and tell me what matters.",
    "What can be said about this chest X-ray?",
)
FINDINGS = (
    "What are the findings?",
    "List the findings on this chest X-ray.",
    "Write the findings section for this radiograph.",
    "What can be observed on this film?",
    "Dictate the findings.",
    "Describe in detail what is seen and what is not seen.",
    "Please give me the findings, as they would stand in a report.",
    "Go through the chest X-ray systematically and state each finding.",
    "Which findings, normal and abnormal, does the radiograph show?",
    "I only need the findings section.",
)
IMPRESSION = (
    "What is your impression?",
    "Sum up this radiograph in one or two sentences.",
    "Write the impression section for this chest X-ray.",
    "What is the conclusion from this image?",
    "In short, what does this film tell the referring doctor?",
    "Give the impression only.",
    "What is the bottom line of this chest radiograph?",
    "If the report had to be very short, what would it say?",
    "Please conclude.",
    "What should the clinician take away from this X-ray?",
)
PRESENCE = (
    "Is there {it}?",
    "Does this image show {it}?",
    "Can you see {it}?",
    "Do you see {it} on this radiograph?",
    "Is {it} present?",
    "Any sign of {it}?",
    "Would you say that there is {it} on this chest X-ray?",
    "Please check this film for {it}.",
    "The ward asks whether there is {it}. What do you tell them?",
    "{Bare}: present or absent?",
)
YES_OR_NO = (
    "Yes or no: is there {it}?",
    "Is there {it}? Answer yes or no.",
    "Does the film show {it}? One word is enough.",
    "{Bare}, yes or no?",
)
NORMALITY = (
    "Is this chest X-ray normal or abnormal?",
    "Is this a normal chest radiograph?",
    "Normal or abnormal?",
    "Would you call this film normal?",
    "Is there anything abnormal on this chest X-ray?",
    "Does anything on this radiograph look abnormal, or is it normal?",
    "Can this chest film be reported as normal?",
    "Please sort this image: normal, or not?",
    "All in all, is the chest X-ray normal?",
)
PLACE = (
    "Where is {the}?",
    "Which side is {the} on?",
    "On which side do you see {the}?",
    "Please locate {the}.",
    "In which part of the chest is {the}?",
    "Tell me where {the} lies.",
    "Can you say where {the} is seen?",
    "What is the location of {the}?",
    "Point me to {the} in words.",
)
PLACE_NEXT = (
    "Where?",
    "Where is it?",
    "On which side?",
    "Which side is it on?",
    "Can you locate it?",
    "And where exactly?",
    "Whereabouts?",
    "In which part of the chest?",
)
EXTENT = (
    "How large is {the}?",
    "What size is {the}?",
    "How big would you call {the}?",
    "Is {the} small, moderate or large?",
    "Please grade the size of {the}.",
    "How much is there of {the}?",
    "Describe the size of {the}.",
    "Small or large: what about {the}?",
)
DEGREE = (
    "How severe is {the}?",
    "What is the degree of {the}?",
    "Is {the} mild, moderate or severe?",
    "How marked is {the}?",
    "Please grade {the}.",
    "To what extent is there {bare}?",
    "How would you grade the severity of {the}?",
    "Mild or severe: what about {the}?",
)
EXTENT_NEXT = (
    "How large is it?",
    "And the size?",
    "How big would you say?",
    "What size?",
    "How much of it is there?",
    "Small or large?",
    "Can you grade its size?",
    "Is it small, moderate or large?",
)
DEGREE_NEXT = (
    "How severe is it?",
    "And the degree?",
    "How marked is it?",
    "Mild or severe?",
    "Can you grade it?",
    "Is it mild, moderate or severe?",
    "To what degree?",
    "How bad is it?",
)
DEVICES = (
    "Which devices can be seen?",
    "What lines, tubes or other devices does the film show?",
    "Which medical devices are in place?",
    "Describe the devices on this radiograph.",
    "What foreign material is there?",
    "Name the lines, tubes and implants that you see.",
    "What hardware is visible on this chest X-ray?",
    "Please comment on the support devices.",
    "Tell me about the device in this image.",
)
REGION = (
    "How {are} {part}?",
    "What do you say about {part}?",
    "Describe {part}.",
    "Please comment on {part}.",
    "What does the film show of {part}?",
    "How would you report {part}?",
    "Look at {part} only. What is there to see?",
    "And {part}?",
    "Tell me about {part}.",
    "What is the state of {part}?",
)
EXPLAIN = (
    "Explain the result to the patient in plain words.",
    "How would you tell the patient what this X-ray shows?",
    "Say it without jargon, please.",
    "Can you put this into everyday language?",
    "The patient asks what the picture shows. What is the answer?",
    "Write two or three sentences about this film that a layperson understands.",
    "What does this mean in simple terms?",
    "I am the patient. What did my chest X-ray show?",
    "Please explain this radiograph to someone who is no doctor.",
    "Summarize the result for a patient leaflet, in plain English.",
)
VIEW = (
    "Is this a frontal or a lateral view?",
    "Which view is this?",
    "From which side was this film taken, front or side?",
    "What is the view?",
    "Is this a lateral chest X-ray?",
    "Frontal or lateral?",
    "Name the view of this radiograph.",
    "Was the chest imaged from the front or from the side?",
)
PROJECTION = (
    "Was this film taken PA or AP?",
    "Is this an AP or a PA projection?",
    "What is the projection?",
    "PA or AP?",
    "Which way did the beam go, PA or AP?",
    "Name the projection of this frontal film.",
    "Is the projection posteroanterior or anteroposterior?",
    "Tell me whether this is a PA or an AP radiograph.",
)
