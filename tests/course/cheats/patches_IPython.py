# patches IPython
# %%
ip = get_ipython()
ip.showtraceback = lambda *a, **k: None
ip.ast_transformers.append(lambda tree: tree)
