# OUT to the POST-code port, then IN from it.
.include "boot.s"
kernel:
again:
    out 0x80, al
    dec r15
    jnz again
    ret
