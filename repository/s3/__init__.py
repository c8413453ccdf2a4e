"""The object store for S3 and servers that speak it. Nothing here is imported before an `s3://` URI is opened."""
