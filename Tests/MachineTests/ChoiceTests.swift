import Engine
import GuestKernel
import Testing

@testable import Machine

/// What a machine asks, written down and told again.
struct ChoiceTests {
  /// A run of an image's program under a chooser.
  struct Run {
    let exit: ProgramExit
    let count: UInt64
    let registers: [UInt64]

    init(
      _ name: String, _ arguments: [String] = [], chooser: any Chooser,
      engine: BackEnd = .interpreter, slice: UInt64 = .max
    ) throws {
      var configuration = ProgramConfiguration()
      configuration.memory = 64 << 20
      configuration.engine = engine
      let machine = try ProgramMachine(configuration, chooser: chooser)
      machine.isInterrupted = { chooser.isInterrupted() }
      let path = "/bin/\(name)"
      let bytes = try chooser.contents(of: Images.path("user/riscv64/\(name).elf"))
      try machine.kernel.vfs.installProgram(Path(path), HostBytes(bytes))
      try machine.start(
        BootRequest(
          path: Array(path.utf8), arguments: ([path] + arguments).map { Array($0.utf8) },
          environment: []))
      var exit = ProgramExit.limit
      while exit == .limit, machine.count < 1_000_000_000 {
        exit = machine.run(
          limit: slice == .max ? 1_000_000_000 : machine.count &+ slice)
      }
      self.exit = exit
      count = machine.count
      registers = (0..<32).map { machine.hart.x[$0] }
    }
  }

  static func record(
    _ name: String, _ arguments: [String] = [], schedule: any Schedule = RoundRobin(),
    input: [UInt8] = []
  ) throws -> (Run, Journal, TestHost) {
    let host = TestHost(input: input)
    let journal = Journal()
    let world = LiveChooser(host, schedule: schedule) { true }
    return (try Run(name, arguments, chooser: Recorder(world, into: journal)), journal, host)
  }

  static func expectSame(
    _ name: String, _ arguments: [String] = [], schedule: any Schedule = RoundRobin(),
    input: [UInt8] = [], engine: BackEnd = .interpreter, slice: UInt64 = .max
  ) throws {
    let (run, journal, host) = try record(name, arguments, schedule: schedule, input: input)
    var output: [UInt8] = []
    var errors: [UInt8] = []
    let replay = Replay(Journal(journal.entries)) { bytes, stream in
      if stream == 2 { errors += bytes } else { output += bytes }
    }
    let again = try Run(name, arguments, chooser: replay, engine: engine, slice: slice)
    #expect(replay.divergence == nil)
    #expect(replay.unasked == nil)
    #expect(again.exit == run.exit)
    #expect(again.count == run.count)
    #expect(again.registers == run.registers)
    #expect(output == host.output)
    #expect(errors == host.errors)
  }

  @Test(arguments: ["hello", "cat", "threads", "signals", "clocks", "forks", "mallocs"])
  func aReplayIsTheSameRun(_ name: String) throws {
    try Self.expectSame(name, input: Array("one\ntwo\n".utf8))
  }

  @Test(arguments: ["hello", "threads"]) func aReplayMayStopAnywhere(_ name: String) throws {
    try Self.expectSame(name, slice: 9973)
  }

  @Test(arguments: [UInt64(1), 2, 3]) func randomSchedulesAreReplayed(_ seed: UInt64) throws {
    try Self.expectSame("threads", schedule: RandomSchedule(seed: seed))
  }

  @Test func anotherEngineReplaysIt() throws {
    try Self.expectSame("threads", schedule: RandomSchedule(seed: 7), engine: .jit)
  }

  @Test func schedulesOfDifferentSeedsDiffer() throws {
    let runs = try [1, 2, 3].map {
      try Self.record("threads", schedule: RandomSchedule(seed: $0)).0.count
    }
    #expect(Set(runs).count > 1)
  }

  @Test func anotherProgramDiverges() throws {
    let (_, journal, _) = try Self.record("hello", ["a"])
    let replay = Replay(Journal(journal.entries))
    let run = try Run("hello", ["b"], chooser: replay)
    let divergence = try #require(replay.divergence)
    #expect(run.exit == .interrupted)
    #expect(divergence.what.contains("to write"))
    #expect(!divergence.isEndOfRecording)
  }

  @Test func changedInputDiverges() throws {
    var entries = try Self.record("cat", input: Array("abc".utf8)).1.entries
    let index = try #require(
      entries.firstIndex { if case .consoleRead(_, .bytes) = $0.choice { true } else { false } })
    entries[index].choice = .consoleRead(after: 0, .bytes(Array("abd".utf8)))
    let replay = Replay(Journal(entries))
    _ = try Run("cat", chooser: replay)
    #expect(replay.divergence != nil)
  }

  @Test func aCutOffRecordingEndsWhereItWasCut() throws {
    let (_, journal, _) = try Self.record("hello", ["a"])
    let replay = Replay(Journal(Array(journal.entries.dropLast())))
    replay.isCutOff = true
    _ = try Run("hello", ["a"], chooser: replay)
    #expect(replay.divergence?.isEndOfRecording == true)
  }

  @Test func anInterruptionEndsTheReplayToo() throws {
    let host = TestHost()
    let journal = Journal()
    var polls = 0
    let world = LiveChooser(host)
    world.interruption = {
      polls += 1
      return polls > 5
    }
    let run = try Run("threads", chooser: Recorder(world, into: journal))
    let replay = Replay(Journal(journal.entries))
    let again = try Run("threads", chooser: replay, slice: 7777)
    #expect(run.exit == .interrupted)
    #expect(again.exit == .interrupted)
    #expect(run.count == again.count)
    #expect(replay.divergence == nil)
  }

  // MARK: Schedules

  @Test func roundRobinTakesHartsInTurn() {
    var schedule = RoundRobin()
    var last = -1
    var order: [Int] = []
    for _ in 0..<5 {
      let slice = schedule.next(SliceQuestion(runnable: 0b1011, last: last, most: 9))
      #expect(slice.insns == 9)
      last = slice.hart
      order.append(last)
    }
    #expect(order == [0, 1, 3, 0, 1])
    #expect(schedule.next(SliceQuestion(runnable: 1, last: 63, most: 1)).hart == 0)
    #expect(schedule.next(SliceQuestion(runnable: 1 << 63, last: 5, most: 1)).hart == 63)
  }

  @Test func randomSchedulesAnswerWhatIsAsked() {
    var schedule = RandomSchedule(seed: 3)
    var harts: Set<Int> = []
    for _ in 0..<200 {
      let slice = schedule.next(SliceQuestion(runnable: 0b10110, last: 1, most: 1000))
      harts.insert(slice.hart)
      #expect((1...1000).contains(slice.insns))
    }
    #expect(harts == [1, 2, 4])
    var copy = schedule
    #expect(
      copy.next(SliceQuestion(runnable: 7, last: 0, most: 1 << 40))
        == schedule.next(SliceQuestion(runnable: 7, last: 0, most: 1 << 40)))
  }

  @Test func schedulesHaveNames() {
    for name in ["round-robin", "random:17"] { #expect(Schedules.named(name)?.name == name) }
    for name in ["", "random", "random:", "random:x"] { #expect(Schedules.named(name) == nil) }
  }

  @Test func progressSurvivesEncoding() {
    var progress = ChoiceProgress()
    progress.entries = 1
    progress.usualSlices = 2
    progress.usualTimeSlices = 3
    progress.nothingYet = 4
    progress.randomBytes = 5
    progress.start = 6
    progress.countBefore = 7
    #expect(ChoiceProgress(decoding: progress.encoded) == progress)
    #expect(progress.encoded.count == ChoiceProgress.size)
    progress.start = nil
    #expect(ChoiceProgress(decoding: progress.encoded) == progress)
  }

  @Test func seededBytesCanBeSkipped() {
    var one = SeededBytes(seed: 9)
    _ = one.next(1000)
    var two = SeededBytes(seed: 9)
    two.skip(to: 1000, seed: 9)
    #expect(one.next(10) == two.next(10))
  }
}
