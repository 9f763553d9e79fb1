"""tries: terminal escapes, HTML and carriage returns in the log
expect: harmless
"""

print("\x1b[2J\x1b]0;owned\x07\x1b[31mred\x9b31m\x00\x08\r\u202e")
print("<script>document.title='ESC'+'APED'</script><img src=x onerror=alert(1)>")

model = Model()
train(model)
run.finish(model)
