"""The exactness suite: laws known without sampling, and whether samplers obey them. Laws are data; `suite` lists
them."""
