# writes files
# %%
import os, glob
for path in ['/report', OUT, VICTIM, '/etc/passwd', '/tmp/minddpm-cheat', os.path.expanduser('~/cheat')]:
    try:
        open(path, 'w').write('cheat')
    except OSError: pass
    try:
        os.remove(path)
    except OSError: pass
