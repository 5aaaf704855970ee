"""The gallery in Milvus, which several daemons may share."""
