import ArgumentParser
import Machine

struct RecordCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "record",
    abstract: "Run a program or a bare image, and write down all that it can't know itself.",
    discussion: """
      The trace holds the answers to everything that the guest asked of the world, and copies of the
      files that it was made of: 'emu replay' needs nothing else. All options of 'emu run' are
      understood; they come before PROGRAM.

      EXAMPLES
        emu record -o run.emutrace images/user/riscv64/hello.elf world
        emu record -o run.emutrace --root /srv/riscv64 /bin/sh -c 'ls | sort'
        emu record -o run.emutrace --schedule random:7 images/user/riscv64/threads.elf
        emu record -o boot.emutrace --bare firmware.elf

      EXIT STATUS
        As 'emu run'; 125 too where the trace can't be written.
      """)

  @Option(name: .shortAndLong, help: "The trace file, which is made anew.")
  var output: String

  @Option(
    help: ArgumentHelp(
      "Which hart runs when, and how long tasks may.", valueName: "round-robin|random:SEED"))
  var schedule = "round-robin"

  @Flag(
    inversion: .prefixedNo,
    help: "Take snapshots meanwhile, by which 'emu replay --to' gets anywhere in no time.")
  var snapshots = true

  @Flag(help: "Report instructions, time, page faults and TLB misses on stderr at the end.")
  var stats = false

  @OptionGroup var options: RunOptions

  @Argument(parsing: .captureForPassthrough, help: "The program, and its arguments.")
  var program: [String]

  mutating func validate() throws {
    if let first = program.first, first == "--help" || first == "-h" {
      throw CleanExit.helpRequest(Self.self)
    }
    guard Schedules.named(schedule) != nil else {
      throw ValidationError("--schedule is round-robin or random:SEED, not '\(schedule)'")
    }
    try options.validate(program)
  }

  func run() throws {
    Interruption.install()
    var recording = RecordRun.Options()
    recording.output = output
    recording.snapshots = snapshots
    if let schedule = Schedules.named(schedule) { recording.schedule = schedule }
    var command = try options.command(program)
    command.hashesState = stats
    try RecordRun.run(command, recording).exit(stats: stats)
  }
}
