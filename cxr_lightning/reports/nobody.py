"""Words that stand where a name would and name nobody: offices, wards, verbs, and what a film shows."""

from __future__ import annotations

NO_NAMES = frozenset(
    """a an the this that these those he she his her it its they and or but of in on at to by for from with as is are
    was were be been has have had who whom which would can did does not no none nil all both any dr drs md do rn
    np mr mrs ms doctor doctors nurse patient referring ordering attending covering treating requesting
    consulting primary staff house on-call resident fellow intern physician physicians clinician clinicians
    provider providers radiologist radiologists technologist technician team teams service services office
    surgeon surgeons charge floor unit ward medicine surgery surgical medical radiology cardiology oncology
    neurology pulmonary pulmonology orthopedics orthopedic pediatrics trauma thoracic emergency department
    critical care intensive icu micu sicu ccu nicu ed er pacu ct mri pet us xr cxr chest abdomen pelvis brain
    spine head neck shoulder knee hip images image system detector portable digital radiograph radiography view
    views study exam examination male female unknown anonymous anonymized deidentified removed redacted withheld
    date time history name names notified called aware informed about regarding yes see above below same
    dictated signed electronically findings impression indication technique comparison final report preliminary
    agreed agrees concurred concurs reviewed confirmed interpreted reported reports stated states recommends rotated
    positioning read primordial epic pacs powerscribe voice recognition ai cad practitioner""".split()  # noqa: SIM905
)
"""Behind a title, a call or a field: "Dr. was notified", "discussed with Radiology"."""

BODY = frozenset(
    """lungs lung lobe lobes pleura pleural heart cardiac mediastinum mediastinal hila hilar bones bone
    osseous soft tissue
    tissues lines tubes devices support airways airway airspaces trachea aorta vessels vasculature diaphragm ribs spine
    upper lower middle left right bilateral both normal clear stable unchanged pa ap lateral frontal upright supine
    erect bedside two single one three inspiration expiration decubitus limited technically mild moderate severe small
    large minimal acute chronic effusion pneumothorax edema pneumonia atelectasis consolidation cardiomegaly catheters
    however otherwise overall again also thus therefore additionally comparison cough fever pain dyspnea hypoxia
    shortness weakness dizziness nausea vomiting fall injury hypertension asthma copd chf""".split()  # noqa: SIM905
)
"""Beside a comma at a line's beginning: "CHEST, PORTABLE", "Lungs, Pleura: clear"."""
