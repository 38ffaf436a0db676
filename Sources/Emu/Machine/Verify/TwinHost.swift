import GuestKernel

/// The world outside, for two machines that must see the same: what the first one was told, the
/// second one is told again.
final class TwinHost {
  private let host: any Chooser
  private var inputs = Replay<ConsoleInput>()
  private var written: [[(UInt8, UInt8)]] = [[], []]
  /// What came of writes.
  private var results = Replay<Errno?>()
  private let output: (([UInt8], Int) -> Void)?

  /// - Parameters:
  ///   - host: the world.
  ///   - output: receives what the first machine prints; `nil`: the host does.
  init(_ host: any Chooser, output: (([UInt8], Int) -> Void)?) {
    self.host = host
    self.output = output
  }

  /// What the first machine asks: its output goes to the host.
  func leader(seed: UInt64) -> Side { Side(self, index: 0, seed: seed) }
  /// What the second one asks: its output is only compared.
  func follower(seed: UInt64) -> Side { Side(self, index: 1, seed: seed) }

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

  /// What the first machine was told and the second one has not asked for yet.
  private struct Replay<Answer> {
    private var answers: [Answer] = []
    private var next = 0

    var isEmpty: Bool { answers.isEmpty }

    mutating func append(_ answer: Answer) { answers.append(answer) }

    mutating func take() -> Answer? {
      guard next < answers.count else { return nil }
      defer {
        next += 1
        if next == answers.count { (answers, next) = ([], 0) }
      }
      return answers[next]
    }
  }

  /// One machine's world.
  final class Side: HostServices {
    private let twin: TwinHost
    private let index: Int
    private var generator: SplitMix64

    init(_ twin: TwinHost, index: Int, seed: UInt64) {
      self.twin = twin
      self.index = index
      generator = SplitMix64(state: seed)
    }

    var startOfRun: UInt64 { twin.host.startOfRun }

    func consoleRead(_ count: Int) -> ConsoleInput {
      if index == 0 {
        let input = twin.host.consoleRead(count)
        twin.inputs.append(input)
        return input
      }
      return twin.inputs.take() ?? .notYet
    }

    /// Waits for the host's input, or says whether the first machine has had some more.
    func waitForInput() -> Bool {
      index == 0 ? twin.host.waitForInput() : !twin.inputs.isEmpty
    }

    func consoleWrite(_ bytes: [UInt8], stream: Int) -> Errno? {
      let stream8 = UInt8(truncatingIfNeeded: stream)
      twin.written[index] += bytes.map { (stream8, $0) }
      guard index == 0 else { return twin.results.take() ?? nil }
      var result: Errno?
      if let output = twin.output {
        output(bytes, stream)
      } else {
        result = twin.host.consoleWrite(bytes, stream: stream)
      }
      twin.results.append(result)
      return result
    }

    func randomBytes(_ count: Int) -> [UInt8] {
      (0..<max(count, 0)).map { _ in UInt8(truncatingIfNeeded: generator.next() >> 32) }
    }

    func hostStat(_ path: String) -> HostNode? { twin.host.hostStat(path) }
    func hostList(_ path: String) -> [String]? { twin.host.hostList(path) }
    func hostRead(_ path: String, offset: UInt64, count: Int) -> [UInt8]? {
      twin.host.hostRead(path, offset: offset, count: count)
    }
  }
}
