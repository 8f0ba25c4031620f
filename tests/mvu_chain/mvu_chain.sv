// Two folded matrix-vector units in a row, the first with thresholds behind it.

module mvu #(
    int COLUMNS = 1, int ROWS = 1, int PE = 1, int SIMD = 1,
    int ACTIVATION = 8, int WEIGHT = 4, int SUM = 24,
    int STEPS = 0, int OUT = SUM,
    string WEIGHTS = "", string THRESHOLDS = ""
) (
    input  logic clk,
    input  logic rst,
    input  logic in_valid,
    output logic in_ready,
    input  logic [SIMD*ACTIVATION-1:0] in_data,
    output logic out_valid,
    input  logic out_ready,
    output logic [PE*OUT-1:0] out_data
);
    localparam int SF = COLUMNS / SIMD;
    localparam int NF = ROWS / PE;

    logic [PE*SIMD*WEIGHT-1:0] weights[NF*SF];
    initial $readmemh(WEIGHTS, weights);
    logic [SUM-1:0] thresholds[STEPS > 0 ? ROWS*STEPS : 1];
    if (STEPS > 0) begin : g_thresholds
        initial $readmemh(THRESHOLDS, thresholds);
    end

    // The vector comes once and is read again for every further fold of rows.
    logic [SIMD*ACTIVATION-1:0] vector[SF];
    int unsigned sf, nf;
    wire enable = !out_valid || out_ready;
    wire step = enable && (nf != 0 || in_valid);
    assign in_ready = enable && nf == 0;

    always_ff @(posedge clk) begin
        if (rst) begin
            sf <= 0;
            nf <= 0;
        end else if (step) begin
            if (nf == 0) vector[sf] <= in_data;
            if (sf != SF - 1) sf <= sf + 1;
            else begin
                sf <= 0;
                nf <= nf == NF - 1 ? 0 : nf + 1;
            end
        end
    end

    // Operands, products, sums.
    logic [SIMD*ACTIVATION-1:0] activation;
    logic [PE*SIMD*WEIGHT-1:0] weight;
    logic signed [ACTIVATION+WEIGHT-1:0] product[PE][SIMD] /*verilator public_flat_rw*/;
    logic signed [SUM-1:0] sum[PE];
    logic [2:0] valid, last;
    int unsigned fold[3];

    logic signed [SUM-1:0] tree[PE];
    always_comb
        for (int p = 0; p < PE; p++) begin
            tree[p] = '0;
            for (int s = 0; s < SIMD; s++) tree[p] += SUM'(product[p][s]);
        end

    always_ff @(posedge clk) begin
        if (rst) begin
            valid <= '0;
            last <= '0;
            out_valid <= 0;
            for (int p = 0; p < PE; p++) sum[p] <= '0;
        end else if (enable) begin
            valid <= {valid[1:0], step};
            last <= {last[1:0], step && sf == SF - 1};
            fold[0] <= nf;
            fold[1] <= fold[0];
            fold[2] <= fold[1];
            activation <= nf == 0 ? in_data : vector[sf];
            weight <= weights[nf*SF+sf];
            for (int p = 0; p < PE; p++) begin
                for (int s = 0; s < SIMD; s++)
                    product[p][s] <= $signed(activation[s*ACTIVATION+:ACTIVATION]) *
                                     $signed(weight[(p*SIMD+s)*WEIGHT+:WEIGHT]);
                // A sum is handed on at the edge behind its last step, at which the next begins.
                if (valid[1]) sum[p] <= (last[2] && valid[2] ? '0 : sum[p]) + tree[p];
                else if (last[2] && valid[2]) sum[p] <= '0;
            end
            out_valid <= valid[2] && last[2];
            for (int p = 0; p < PE; p++) begin
                if (STEPS == 0) out_data[p*OUT+:OUT] <= OUT'(sum[p]);
                else begin
                    automatic logic signed [OUT-1:0] level = -1;
                    for (int t = 0; t < STEPS; t++)
                        if (sum[p] >= $signed(thresholds[(fold[2]*PE+p)*STEPS+t])) level += 1;
                    out_data[p*OUT+:OUT] <= level;
                end
            end
        end
    end
endmodule

module mvu_chain (
    input  logic clk,
    input  logic rst,
    input  logic in_valid,
    output logic in_ready,
    input  logic [127:0] in_data,
    output logic out_valid,
    output logic [95:0] out_data
);
    logic middle_valid, middle_ready;
    logic [63:0] middle_data;
    mvu #(.COLUMNS(256), .ROWS(64), .PE(16), .SIMD(16), .STEPS(3), .OUT(4),
          .WEIGHTS("first.hex"), .THRESHOLDS("thresholds.hex")) first (
        .clk, .rst, .in_valid, .in_ready, .in_data,
        .out_valid(middle_valid), .out_ready(middle_ready), .out_data(middle_data)
    );
    mvu #(.COLUMNS(64), .ROWS(16), .PE(4), .SIMD(16), .ACTIVATION(4), .WEIGHTS("second.hex")) second (
        .clk, .rst, .in_valid(middle_valid), .in_ready(middle_ready), .in_data(middle_data),
        .out_valid, .out_ready(1'b1), .out_data
    );
endmodule
