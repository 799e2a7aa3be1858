"""Pure decisions: state and command in, facts out, or a refusal that names the remedy. One module an aggregate."""
