"""The Architect agent: asks and answers, triages, proposes, escalates. It reads by queries and writes by commands."""
