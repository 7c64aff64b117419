"""Do an audit's SARIF and JUnit files keep to what their readers demand?

    limn audit plan.yaml --sarif a.sarif --junit a.xml
    python3 exports.py a.sarif a.xml --sarif-schema sarif-schema-2.1.0.json --junit-xsd junit-10.xsd

The schemas are not ours and not kept here: sarif-schema-2.1.0.json is OASIS's (oasis-tcs/sarif-spec, sarif-2.1/schema),
junit-10.xsd is that of Jenkins' xUnit plugin (a copy is in pytest's sources, testing/example_scripts). Besides them:
what GitHub asks of SARIF (fingerprints, at most 25,000 results, rules that exist) and that JUnit's counts are those of
its cases. Wants jsonschema, xmlschema, junitparser.
"""
import argparse
import json
import re
import sys
import xml.etree.ElementTree as ElementTree

RESULTS_MAX = 25000
RUNS_MAX = 20


def check_sarif(path, schema_path):
    with open(path, encoding="utf-8") as file:
        log = json.load(file)
    problems = []
    if schema_path:
        import jsonschema
        with open(schema_path, encoding="utf-8") as file:
            validator = jsonschema.Draft7Validator(json.load(file), format_checker=jsonschema.FormatChecker())
        problems += [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in validator.iter_errors(log)]
    if log.get("version") != "2.1.0" or len(log["runs"]) > RUNS_MAX:
        problems.append("version or number of runs")
    for run in log["runs"]:
        rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
        if len(set(rules)) != len(rules):
            problems.append("a rule stands twice")
        if len(run["results"]) > RESULTS_MAX:
            problems.append(f"{len(run['results'])} results")
        prints = set()
        for result in run["results"]:
            if result["ruleId"] not in rules:
                problems.append(f"no rule {result['ruleId']}")
            if "ruleIndex" in result and rules[result["ruleIndex"]] != result["ruleId"]:
                problems.append(f"the index of rule {result['ruleId']}")
            if not result.get("partialFingerprints") or not result["message"]["text"].strip():
                problems.append("a result without fingerprint or message")
            prints.add((result["ruleId"], tuple(sorted(result["partialFingerprints"].items()))))
            for location in result["locations"]:
                physical = location["physicalLocation"]
                uri = physical["artifactLocation"]["uri"]
                escaped = re.fullmatch(r"(file://)?([-._~/A-Za-z0-9]|%[0-9A-F]{2})+", uri)
                if not escaped or uri.startswith("/"):
                    problems.append(f"'{uri}' is no URI reference")
                if physical["region"]["startLine"] < 1:
                    problems.append("a line before the first")
        if len(prints) != len(run["results"]):
            problems.append("two results have one fingerprint")
    return problems


def check_junit(path, schema_path):
    problems = []
    if schema_path:
        import xmlschema
        schema = xmlschema.XMLSchema(schema_path)
        problems += [f"{error.path}: {error.reason}" for error in schema.iter_errors(path)]
    import junitparser
    list(junitparser.JUnitXml.fromfile(path))
    root = ElementTree.parse(path).getroot()
    for suite in [root, *root.iter("testsuite")]:
        cases = list(suite.iter("testcase"))
        for name, tag in (("tests", None), ("failures", "failure"), ("skipped", "skipped"), ("errors", "error")):
            found = len(cases) if tag is None else sum(case.find(tag) is not None for case in cases)
            if name in suite.attrib and int(suite.attrib[name]) != found:
                problems.append(f"{suite.tag} says {name}={suite.attrib[name]}, there are {found}")
        names = [(case.get("classname"), case.get("name")) for case in cases]
        if len(set(names)) != len(names):
            problems.append("two cases have one name")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", help="audits' .sarif and .xml files")
    parser.add_argument("--sarif-schema")
    parser.add_argument("--junit-xsd")
    arguments = parser.parse_args()
    failed = False
    for path in arguments.files:
        sarif = path.endswith(".sarif")
        schema = arguments.sarif_schema if sarif else arguments.junit_xsd
        problems = check_sarif(path, schema) if sarif else check_junit(path, schema)
        failed = failed or bool(problems)
        print(f"{path}: {'by the schema and ' if schema else ''}by our rules:", "; ".join(problems) or "good")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
