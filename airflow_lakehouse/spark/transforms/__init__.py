"""Bronze rows to silver columns: ``DataFrame -> DataFrame``, nothing read, nothing written.

============ ===================================================================
module       what it holds
============ ===================================================================
fhir         FHIR data types as Spark expressions: dates, codes, flags
references   references in every form, to kind, type, id, base and version
patient      Patient to silver_dim_patient
encounter    Encounter to silver_fct_encounter
condition    Condition to silver_fct_condition
observation  Observation and its components to silver_fct_observation
doc_blocks   blocks of documents, linked to patients by DocumentReference
versions     which version of a resource wins
============ ===================================================================
"""
