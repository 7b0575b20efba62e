"""Reading documents page by page into Textract-shaped blocks, without a cloud account.

============= =====================================================================
module        what it holds
============= =====================================================================
blocks        Block and PageResult: what a page becomes
model         what an engine is, what it gives, and what it needs
engine        finding one by name
hookspecs     the hook that brings engines
tesseract     Tesseract, through its library or its command
text_layer    words of a born-digital page
trust         whether to believe a page's text layer
rapid         RapidOCR, for the pages whose text layer is not believed
spacing       word boundaries inside a recognised line
geometry      quads, and turning a page upright
order         the order in which a person reads a page
assemble      lines of words to blocks
ruled         tables from ruled lines
ruled_image   ruled lines in an image
widgets       form fields
structure     tables and form fields as blocks
pages         one page: text layer or OCR, and why
limits        what a document may cost
formats       what a document is, by its first bytes
images        images as documents
inspection    what a document is, without reading it
preflight     what an engine takes, asked before anything is paid for
child         the bounded process that opens documents
reader        driving that process: ``read_document``
flatten       Textract's responses to pages of blocks
flatten_page  one page of them
reviews       what people decided about pages
tables        tables that go on over the end of a page
textract_json blocks as Textract's JSON, and back: how results are stored
folder        files on this machine or in S3
results       where results are stored
store         ``read_batch``: many documents, each content read once
textract      the same with Amazon Textract: one paid job per content
============= =====================================================================

Only :mod:`~airflow_lakehouse.ocr.child` and what it calls open a document, and they run in a process of their own:
PDFium is native code that reads hostile input.
"""
