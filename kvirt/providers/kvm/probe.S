# The guest that tells if KVM works here: it does what every operating system does first (an interrupt return in protected
# mode, paging, long mode) and then resets the machine. Half-working KVM fails on one of these. The bytes stand in probe.py;
# a test assembles this file and compares.
.code16
.globl _start
_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    # page tables at 0x1000: PML4 -> PDPT -> PD with one 2 MiB page
    movw $0x1000, %di
    movw $0x1800, %cx
    cld
    rep stosw
    movw $0x2003, 0x1000
    movw $0x3003, 0x2000
    movw $0x0083, 0x3000
    lgdt gdtr
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmp $0x08, $pm
.code32
pm:
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %ss
    movl $0x7c00, %esp
    pushfl
    pushl $0x08
    pushl $after
    iret
after:
    movl %cr4, %eax
    orl $0x20, %eax
    movl %eax, %cr4
    movl $0x1000, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    ljmp $0x18, $lm
.code64
lm:
    movb $0xfe, %al
    outb %al, $0x64
hang:
    hlt
    jmp hang
.align 8
gdt:
    .quad 0
    .quad 0x00cf9a000000ffff
    .quad 0x00cf92000000ffff
    .quad 0x00af9a000000ffff
gdtr:
    .word 31
    .long gdt
.org 510
.word 0xaa55
