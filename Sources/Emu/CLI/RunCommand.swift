import ArgumentParser
import Machine

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Run a Linux program under the guest kernel, or a bare image.",
    discussion: """
      Options of emu come before PROGRAM; everything behind it belongs to the program.

      EXAMPLES
        emu run images/user/riscv64/hello.elf world
        emu run --stats --env LANG=C ./busybox sh -c 'echo $LANG | tr a-z A-Z'
        emu run --root /srv/riscv64 /bin/ls /etc
        emu run --max-insns 10M ./loops-for-ever
        emu run --probe 'p:open do_sys_openat2 dfd=$arg1 path=+0($arg2):ustring' ./cat /etc/hosts
        emu run --probe 'r:./busybox:main $retval' --trace-output trace ./busybox true
        emu run --bare --drive disk.img kernel.elf
        emu run --bare --signature out.signature test.elf
      """)

  @Flag(help: "Report instructions, time, page faults and TLB misses on stderr at the end.")
  var stats = false

  @OptionGroup var options: RunOptions

  @Argument(parsing: .captureForPassthrough, help: "The program, and its arguments.")
  var program: [String]

  mutating func validate() throws {
    // Everything behind PROGRAM belongs to it, and so the parser leaves options it does not know.
    if let first = program.first, first == "--help" || first == "-h" {
      throw CleanExit.helpRequest(Self.self)
    }
    try options.validate(program)
  }

  func run() throws {
    Interruption.install()
    var command = try options.command(program)
    command.hashesState = stats
    let report =
      switch command {
      case .program(let words, let options): ProgramRun.run(words, options)
      case .bare(let path, let options): BareRun.run(path, options)
      }
    try report.exit(stats: stats)
  }
}

extension RunReport {
  /// Says what there is to be said and ends the process.
  func exit(stats: Bool) throws {
    if stats, let text = statistics { printError(text) }
    for line in messages { printError("emu: \(line)") }
    throw ExitCode(status)
  }
}
