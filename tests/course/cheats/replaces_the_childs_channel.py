# replaces the child's channel
# %%
import sys
main = sys._getframe()
while main.f_back: main = main.f_back
g = main.f_globals
g['outcome_of'] = lambda f, args, **k: type('O', (), {'value': (args[0].numpy() * 0,), 'several': False, 'changed': (), 'error': ''})()
g['send'] = lambda channel, message, arrays=(): channel.sendall(b'junk' * 100)
