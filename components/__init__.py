"""What is declared: Pulumi component resources, one subject a file.

A component's children are attributes that have their types from where they are assigned. Annotated in the class, they
would be evaluated by Pulumi's SDK for every component that is made, which loads whatever groups of Kubernetes' API they
name: most of those are for what few services ask for.
"""
