import GuestKernel

/// The world outside, for two machines that must see the same: who asks first is answered by the
/// world, the other one is told the same.
///
/// Answers are kept as in a recording, but kind by kind and without their counts: a machine with
/// probes comes to its questions at other counts than one without. Which hart runs is no question
/// here: there is one, and its slices are no matter where time is the program's instructions.
final class TwinHost {
  private let world: any Chooser
  private var written: [[(UInt8, UInt8)]] = [[], []]
  private let output: (([UInt8], Int) -> Void)?
  /// What each side has yet to be told.
  private var waiting: [[Kind: Journal]] = [[:], [:]]
  /// Writes of the second machine that the first has not made yet.
  private var owed = 0

  private enum Kind { case input, written, random, timeSlice, start, contents }

  /// - Parameters:
  ///   - world: answers.
  ///   - output: receives what the first machine prints; `nil`: the world does.
  init(_ world: any Chooser, output: (([UInt8], Int) -> Void)?) {
    self.world = world
    self.output = output
  }

  /// What the first machine asks: its output goes to the world.
  var leader: Side { Side(self, index: 0) }
  /// What the second one asks: its output is only compared.
  var follower: Side { Side(self, index: 1) }

  /// Bytes written so far by one but not by the other, and the first that differ.
  ///
  /// - Returns: `nil` as long as one's output is the beginning of the other's.
  func difference() -> String? {
    let count = min(written[0].count, written[1].count)
    for index in 0..<count where written[0][index] != written[1][index] {
      return "output: without probes byte 0x\(String(written[0][index].1, radix: 16)), with probes "
        + "0x\(String(written[1][index].1, radix: 16))"
    }
    written[0].removeFirst(count)
    written[1].removeFirst(count)
    return nil
  }

  /// How many bytes one has written and the other has not.
  var unmatched: (without: Int, with: Int) { (written[0].count, written[1].count) }

  /// The next answer of a kind that the other machine has had already.
  private func told(_ kind: Kind, _ index: Int) -> Choice? {
    guard let journal = waiting[index][kind], let head = journal.head else { return nil }
    journal.advance()
    // All that is known was told: nothing needs to be kept.
    if journal.head == nil { waiting[index][kind] = nil }
    return head.choice
  }

  private func keep(_ kind: Kind, _ choice: Choice, for index: Int) {
    let journal = waiting[index][kind] ?? Journal()
    waiting[index][kind] = journal
    journal.append(ChoiceEntry(count: 0, choice: choice))
  }

  /// The answer to a question, which the world is asked once.
  private func answer<Answer>(
    _ kind: Kind, _ index: Int, match: (Choice) -> Answer?, ask: () -> (Answer, Choice)
  ) -> Answer {
    if let choice = told(kind, index), let answer = match(choice) { return answer }
    let (answer, choice) = ask()
    keep(kind, choice, for: 1 - index)
    return answer
  }

  /// One machine's door.
  final class Side: Chooser {
    private let twin: TwinHost
    private let index: Int
    private var world: any Chooser { twin.world }

    init(_ twin: TwinHost, index: Int) {
      self.twin = twin
      self.index = index
    }

    func attach(_ machine: any ChoosingMachine) {}
    func detach() {}
    func nextSlice(_ question: SliceQuestion) -> Slice { RoundRobin.answer(question) }
    func isInterrupted() -> Bool { world.isInterrupted() }
    func isTerminal(_ stream: Int) -> Bool { world.isTerminal(stream) }
    var randomSeed: UInt64? { world.randomSeed }

    func timeSlice(_ standard: UInt64) -> UInt64 {
      twin.answer(
        .timeSlice, index,
        match: { if case .timeSlice(_, let length) = $0 { length } else { nil } },
        ask: {
          let length = world.timeSlice(standard)
          return (length, .timeSlice(after: 0, length))
        })
    }

    func contents(of path: String) throws(HostFileError) -> [UInt8] {
      if case .contents(path, let bytes?, _, _)? = twin.told(.contents, index) { return bytes }
      let bytes = try world.contents(of: path)
      let choice = Choice.contents(path: path, bytes, problem: "", missing: false)
      twin.keep(.contents, choice, for: 1 - index)
      return bytes
    }

    var startOfRun: UInt64 {
      twin.answer(
        .start, index, match: { if case .startOfRun(let time) = $0 { time } else { nil } },
        ask: {
          let time = world.startOfRun
          return (time, .startOfRun(time))
        })
    }

    func consoleRead(_ count: Int) -> ConsoleInput {
      if case .consoleRead(_, let input)? = twin.told(.input, index) { return input }
      let input = world.consoleRead(count)
      // That there is nothing yet is no answer: it is asked for again.
      if input != .notYet { twin.keep(.input, .consoleRead(after: 0, input), for: 1 - index) }
      return input
    }

    /// Waits for the world's input, unless the other machine has had some more.
    func waitForInput() -> Bool {
      twin.waiting[index][.input] != nil || world.waitForInput()
    }

    func consoleWrite(_ bytes: [UInt8], stream: Int) -> Errno? {
      let stream8 = UInt8(truncatingIfNeeded: stream)
      twin.written[index] += bytes.map { (stream8, $0) }
      guard index == 0 else {
        if case .consoleWrite(_, _, _, let result)? = twin.told(.written, 1) { return result }
        // It was taken, as far as this machine hears.
        twin.owed += 1
        return nil
      }
      var result: Errno?
      if let output = twin.output {
        output(bytes, stream)
      } else {
        result = world.consoleWrite(bytes, stream: stream)
      }
      if twin.owed > 0 {
        twin.owed -= 1
      } else {
        twin.keep(
          .written, .consoleWrite(stream: stream, count: bytes.count, digest: 0, result), for: 1)
      }
      return result
    }

    func randomBytes(_ count: Int) -> [UInt8] {
      twin.answer(
        .random, index, match: { if case .random(let bytes) = $0 { bytes } else { nil } },
        ask: {
          let bytes = world.randomBytes(count)
          return (bytes, .random(bytes))
        })
    }

    func hostStat(_ path: String) -> HostNode? { world.hostStat(path) }
    func hostList(_ path: String) -> [String]? { world.hostList(path) }
    func hostRead(_ path: String, offset: UInt64, count: Int) -> [UInt8]? {
      world.hostRead(path, offset: offset, count: count)
    }

    // Programs have no block devices.
    func driveSize(_ drive: Int) -> UInt64 { 0 }
    func driveRead(_ drive: Int, offset: UInt64, count: Int) -> [UInt8]? { nil }
    func driveWrite(_ drive: Int, offset: UInt64, _ bytes: UnsafeRawBufferPointer) -> Bool { false }
    func driveFlush(_ drive: Int) -> Bool { false }
  }
}
