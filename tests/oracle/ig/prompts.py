"""The twenty prompts of the converged reference, the ones needed first at the top."""

PROMPTS = [
    "The capital of France is",
    "The nurse said that",
    "When Mary and John went to the store, John gave a drink to",
    "The opposite of hot is",
    "In 1969, 12 men",
    "def fibonacci(n):\n    if n <",
    "The Eiffel Tower is in the city of",
    "The doctor told the patient that",
    "今天天气很好",
    "The sun rises in the",
    "Water is made of hydrogen and",
    "import numpy as",
    "The loan was refused because the applicant",
    "for i in range(10):\n    print(",
    "After Tom and Anna met, Tom handed the keys to",
    "The president of the United States lives in the",
    "Breaking: customers of Harbour Bank cannot withdraw their savings",
    "中国的首都是",
    "La capital de España es",
    "My favourite colour is blue, so I painted the wall",
]
