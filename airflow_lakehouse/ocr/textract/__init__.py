"""Reading documents with Amazon Textract's asynchronous API: one paid job per document version, whatever dies.

=========== =============================================================================================
module      what it holds
=========== =============================================================================================
parameters  what is asked of Textract, in its own limits
settings    how a batch is run, and everything as one flat object of a connection
reasons     why a document was not read
errors      what an error of the service means: wait, leave the document, or stop
pacing      the window of jobs in flight, and the rate of requests
quotas      what the account may do, where Service Quotas tells
objects     small files with conditional writes, in S3 and on this machine
ledger      which job a document version has
location    where Textract finds the bytes that were looked at
inspect     what is known of a document before it is paid for
service     the calls
fetching    results, response by response, to a file a page
completion  SNS messages in an SQS queue, as a hint
cost        what a batch would cost
work        what is done for one document
steps       one document on its way, step by step
turns       whose turn it is
batch       what is done when, for all of them
report      what became of it, in counts and line by line
saved       a batch as it is saved, and which documents it has
run         a batch from beginning to end, in this thread
=========== =============================================================================================

Facts of the service are from https://docs.aws.amazon.com/textract/latest/dg/api-async.html and
https://docs.aws.amazon.com/textract/latest/APIReference/.
"""
