"""Writes notes.jsonl: invented notes of an emergency department. Every template and word list is in this file.

Nobody is described: names, ages and findings are drawn from the lists below. What became of the patient is drawn with
chances that depend on the complaint, the age and the findings, so that a model can learn it, but never wholly.

    python samples/notes/write_notes.py
"""

import json
import math
import random
from pathlib import Path

NOTES = 1_400
SEED = 20

COMPLAINTS = {
    # complaint: how it speaks for (home, ward, theatre, referral)
    "chest pain": (0, 2, 0, 1), "shortness of breath": (0, 3, 0, 0), "palpitations": (1, 1, 0, 1),
    "abdominal pain": (1, 0, 2, 0), "right flank pain": (0, 1, 1, 1), "vomiting": (1, 2, 0, 0),
    "a swollen ankle": (3, 0, 0, 1), "a painful wrist": (2, 0, 2, 0), "a deep forearm cut": (2, 0, 1, 0),
    "a dislocated shoulder": (1, 0, 3, 0), "a burned hand": (2, 0, 1, 1), "a fishbone in the throat": (1, 0, 2, 1),
    "blurred vision": (0, 1, 0, 3), "a red eye": (2, 0, 0, 2), "hearing loss": (1, 0, 0, 3),
    "a severe headache": (0, 2, 0, 1), "dizziness": (1, 2, 0, 1), "a seizure": (0, 3, 0, 1),
    "numb fingers": (1, 0, 0, 3), "slurred speech": (0, 3, 0, 1), "low back pain": (3, 0, 0, 1),
    "a high fever": (1, 3, 0, 0), "a spreading rash": (2, 1, 0, 1), "a productive cough": (2, 2, 0, 0),
    "blood in the urine": (0, 1, 1, 2), "a nosebleed": (2, 0, 1, 1), "a bee sting": (3, 1, 0, 0),
    "a tick bite": (3, 0, 0, 1), "jaw pain": (1, 1, 0, 2), "a swallowed coin": (1, 0, 2, 0),
    "night sweats": (0, 1, 0, 3), "a cold painful leg": (0, 1, 3, 0), "a groin lump": (0, 0, 2, 2),
    "anxious restlessness": (2, 0, 0, 2), "a fainting spell": (1, 2, 0, 1), "yellow skin": (0, 2, 0, 2),
}  # fmt: skip
OUTCOMES = ("home", "ward", "theatre", "referral")
GIVEN = (
    "Ada Bruno Carla Darius Edith Farid Greta Hamid Irena Jonas Klara Lorenz Mirela Nils Olena Petros Quirin Rosa "
    "Sandor Tove Ulla Viktor Wanda Xenia Yusuf Zita Amara Bilal Chiara Dunja Emeka Fiona Goran Henrike Ivo Jarmila"
).split()
FAMILY = (
    "Abel Brandt Corso Dvorak Ekstrom Faber Gallo Hensel Ilic Janda Kessler Lindner Marek Novotny Okafor Pavlik "
    "Rossi Santos Tamm Ullmann Varga Weidner Ziegler Adler Bianchi Cermak Demir Eriksen Fontaine Grabowski Horvat"
).split()
WORK = (
    "baker bricklayer teacher welder nurse farmer courier gardener violinist student clerk electrician roofer cook "
    "librarian plumber tailor fisher driver painter carpenter engineer cleaner postman barber miner printer"
).split()
ADJECTIVES = ("sudden", "dull", "stabbing", "burning", "recurring", "worsening", "mild", "constant", "throbbing")
DURATIONS = (
    "one hour", "three hours", "since breakfast", "since midnight", "two days", "four days", "a week", "a fortnight",
    "since Sunday", "since a fall", "six weeks", "half a day",
)  # fmt: skip
TRIGGERS = (
    "on climbing stairs", "after lifting crates", "while running", "after a heavy meal", "when lying flat",
    "after gardening", "on waking", "after football", "during a meeting", "after a long flight", "while swimming",
    "after new shoes", "on deep breathing", "after a bicycle crash", "in cold air", "with every step",
)  # fmt: skip
HISTORY = (
    "asthma", "type two diabetes", "gout", "an old stroke", "migraine", "hypertension", "coeliac disease", "epilepsy",
    "a pacemaker", "kidney stones", "psoriasis", "hay fever", "atrial fibrillation", "a hip replacement", "anaemia",
    "glaucoma", "no illness of note", "hepatitis", "an underactive thyroid", "depression", "varicose veins",
)  # fmt: skip
MEDICINES = {
    "metformin": (500, 850, 1000), "ramipril": (2, 5, 10), "bisoprolol": (2, 5), "apixaban": (2, 5),
    "salbutamol": (100, 200), "levothyroxine": (50, 75, 100), "ibuprofen": (400, 600), "sertraline": (50, 100),
    "omeprazole": (20, 40), "allopurinol": (100, 300), "lamotrigine": (25, 100), "atorvastatin": (20, 40, 80),
    "cetirizine": (10,), "prednisolone": (5, 20), "paracetamol": (500, 1000), "tamsulosin": (4,),
}  # fmt: skip
ALLERGIES = ("penicillin", "latex", "peanuts", "nickel", "contrast dye", "wasps", "nothing known", "shellfish")
FINDINGS = (
    "lungs clear", "wheeze on the left", "abdomen soft", "rebound tenderness", "pupils equal", "a new murmur",
    "pulses absent below the knee", "skin warm and dry", "neck stiff", "joint red and hot", "reflexes brisk",
    "crackles at both bases", "no bony tenderness", "visible deformity", "tongue bitten", "eardrum perforated",
)  # fmt: skip
ALARMING = ("rebound tenderness", "a new murmur", "pulses absent below the knee", "neck stiff", "visible deformity")


def note(draw: random.Random) -> dict[str, str]:
    """One note and what became of the patient."""
    complaint, age = draw.choice(list(COMPLAINTS)), draw.randint(18, 94)
    finding, pulse, degrees = draw.choice(FINDINGS), draw.randint(52, 134), draw.randint(358, 402) / 10
    who = f"{draw.choice(GIVEN)} {draw.choice(FAMILY)}"
    medicine = draw.choice(list(MEDICINES))
    parts = {
        "who": who, "age": age, "work": draw.choice(WORK), "complaint": complaint, "how": draw.choice(ADJECTIVES),
        "since": draw.choice(DURATIONS), "trigger": draw.choice(TRIGGERS), "history": draw.choice(HISTORY),
        "medicine": medicine, "dose": draw.choice(MEDICINES[medicine]), "allergy": draw.choice(ALLERGIES),
        "finding": finding, "pulse": pulse, "degrees": f"{degrees:.1f}",
    }  # fmt: skip
    text = draw.choice(TEMPLATES).format(**parts)
    return {"text": text[0].upper() + text[1:], "outcome": outcome(draw, complaint, age, finding, pulse, degrees)}


TEMPLATES = (
    "{who}, {age}, {work}: {complaint}, {how}, {since}, worse {trigger}. Takes {medicine} {dose} mg for {history}. "
    "Pulse {pulse}, {degrees} degrees, {finding}. Allergy: {allergy}.",
    "{age} year old {work} {who} with {how} {complaint} {trigger}, {since}. Known {history}. {finding}, pulse "
    "{pulse}. Allergic to {allergy}, on {medicine} {dose} mg, {degrees} degrees.",
    "{who} came with {complaint} ({how}, {since}). {work}, {age}. {finding}; pulse {pulse}, {degrees} degrees. "
    "History of {history}, {medicine} {dose} mg daily. Allergies: {allergy}.",
    "Pulse {pulse}, {degrees} degrees, {finding}: {who}, a {work} of {age}, reports {complaint} {trigger} {since}. "
    "{history}; {medicine} {dose} mg; allergy {allergy}. Pain {how}.",
    "{complaint} {since} in {who}, {work}, {age} years, {how} and {trigger}. On {medicine} {dose} mg, {history}. "
    "Examined: {finding}, pulse {pulse}, {degrees} degrees. Avoid {allergy}.",
    "Daughter of {who} ({age}, retired {work}) called: {how} {complaint} {since}. {history}, {medicine} {dose} mg. "
    "{finding}, pulse {pulse}, {degrees} degrees, worse {trigger}. Allergy {allergy}.",
    "{who}, allergic to {allergy}, {age}, sent by the family doctor for {complaint} {since}. {medicine} {dose} mg. "
    "{work}, {history}. {how} {trigger}. Now pulse {pulse}, {degrees} degrees, {finding}.",
)


def outcome(draw: random.Random, complaint: str, age: int, finding: str, pulse: int, degrees: float) -> str:
    """Drawn with chances in proportion to the exponentials of the scores."""
    home, ward, theatre, referral = COMPLAINTS[complaint]
    ward += (age > 70) + (pulse > 115) + (degrees > 39)
    theatre += 2 * (finding in ALARMING)
    home += (age < 40) - (pulse > 115)
    return draw.choices(OUTCOMES, [math.exp(score) for score in (home, ward, theatre, referral)])[0]


def main() -> None:
    """Write the file beside this one."""
    draw = random.Random(SEED)
    lines = [json.dumps(note(draw)) for _ in range(NOTES)]
    Path(__file__).with_name("notes.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
